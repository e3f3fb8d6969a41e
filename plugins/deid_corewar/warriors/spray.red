;redcode-94
;name spray
;author deid
;family papers
;cores 8000 800
;strategy Small replicator with an anti-imp bomb line; the second copy lands close by.
;assert 1
far     EQU (CORESIZE*9/25+7)

        SPL.B  1
        MOV.I  -1, 0
        SPL.B  1
mist    SPL.B  @0, >far
        MOV.I  }mist, >mist
        MOV.I  drop, >drop
        MOV.I  {mist, <fan
fan     JMP.B  @0, >CORESIZE/4+39+6
drop    DAT.F  <CORESIZE/3, <CORESIZE*2/3+1
        END
