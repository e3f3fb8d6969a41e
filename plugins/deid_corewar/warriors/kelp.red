;redcode-94
;name kelp
;author deid
;family papers
;cores 8000 800
;strategy Replicator of six cells with one anchor for everything: it is the bomb, its B-field
;strategy says where bombs fall, its A-field where the second copy grows.
;assert 1
near    EQU (CORESIZE*7/16+23)
far     EQU (CORESIZE/5-37)

        SPL.B  1
        MOV.I  -1, 0
        SPL.B  1
kelp    SPL.B  @0, near
        MOV.I  }kelp, >kelp
        MOV.I  anchor, >anchor
        MOV.I  {kelp, {anchor
        JMP.B  *anchor, 0
anchor  DAT.F  #far+6, #CORESIZE/3
        END
