;redcode-94
;name ivy
;author deid
;family papers
;cores 8000 800
;strategy Replicator with a drill: the copies throw DATs ahead with two pointers in turn.
;assert 1
        SPL.B  1
        SPL.B  1
        SPL.B  1
ivy     SPL.B  @0, >CORESIZE*23/100-6
        MOV.I  }ivy, >ivy
        MOV.I  drill, >drill
        MOV.I  drill, }drill
        MOV.I  {ivy, <vine
vine    DJN.B  @0, >CORESIZE*11/25-13+8
drill   DAT.F  {CORESIZE/12, >CORESIZE/3+1
        DAT.F  #0, #0
        END
