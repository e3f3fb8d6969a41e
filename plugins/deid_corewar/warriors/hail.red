;redcode-94
;name hail
;author deid
;family bombers
;cores 8000 800
;strategy A fountain of processes runs a SUB loop that drops DATs in two places at a time;
;strategy the bombs decrement their neighbours when somebody points through them.
;assert CORESIZE % 16 == 0
step    EQU (CORESIZE/5+16)     ; a multiple of 16 only: the code lies between the hits

cloud   SPL.B  #-16, <-20
fall    SUB.F  pace, aim
        MOV.I  stone, *aim
        MOV.I  stone, @aim
        DJN.F  fall, <cloud-40
aim     DAT.F  #-8, #-28
pace    DAT.F  #step, #step
stone   DAT.F  <1, {2
        ORG    cloud
        END
