;redcode-94
;name fern
;author deid
;family papers
;cores 8000
;strategy Six processes make three copies of six cells a turn: dense growth, no bombs.
;assert CORESIZE == 8000
        SPL.B  1
        MOV.I  -1, 0
        SPL.B  1
frond   SPL.B  @0, 3041
        MOV.I  }frond, >frond
        MOV.I  {frond, <tip
tip     SPL.B  @0, 1471+6
        MOV.I  }frond, >root
root    JMP.B  @0, 5207
        END
