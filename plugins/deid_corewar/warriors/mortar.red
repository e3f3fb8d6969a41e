;redcode-94
;name mortar
;author deid
;family bombers
;cores 8000 800
;strategy Incendiary: a split and a copying loop fall side by side; whoever runs into the
;strategy pair is set to multiply it over the core. A clear follows.
;assert CORESIZE % 16 == 0
step    EQU (CORESIZE/5+16)       ; a multiple of 16 only
first   EQU (last-gate+2)

gate    DAT.F  #first, #0
dust    DAT.F  #first, #0
spark   SPL.B  #2, #0
fuel    MOV.I  @0, }-1
load    MOV.I  fuel, @range
        MOV.I  spark, *range
        ADD.F  pace, range
        DJN.B  load, #CORESIZE/16
pace    SPL.B  #step, #step
sweep   MOV.I  dust, }gate
last    DJN.F  sweep, }gate
range   DAT.F  #18, #18+1
        ORG    load
        END
