;redcode-94
;name leaf
;author deid
;family papers
;cores 8000
;strategy Replicator: eight processes copy eight cells in step, once forwards to a place
;strategy where a copy is already started, once backwards, and move there.
;assert CORESIZE == 8000
near    EQU 2211
far     EQU 4870

        SPL.B  1
        SPL.B  1
        SPL.B  1
leaf    SPL.B  @0, near
        MOV.I  }leaf, >leaf
        MOV.I  spore, >spore
        MOV.I  {leaf, <stem
stem    JMP.B  @0, far+8
spore   DAT.F  #1, #-1200
        DAT.F  #0, #0
        END
