;redcode-94
;name druid
;author deid
;family mixed
;cores 8000 800
;strategy Paper and imps: every copy of the replicator lands with an imp for a bomb, so that
;strategy the copies and a crowd of imps share the core.
;assert CORESIZE % 3 == 2
        SPL.B  1
        SPL.B  1
        SPL.B  1
rite    SPL.B  @0, >CORESIZE*9/25+23
        MOV.I  }rite, >rite
        MOV.I  mist, >mist
        MOV.I  {rite, <path
        SPL.B  mist, #0
path    JMP.B  @0, >CORESIZE*17/25+81+8
mist    MOV.I  #667, (CORESIZE+1)/3
        DAT.F  #0, #0
        END
