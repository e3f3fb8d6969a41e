;redcode-94
;name sonar
;author deid
;family scanners
;cores 8000 800
;strategy One instruction looks at every cell in turn; at the first that is not empty DATs
;strategy follow, until an empty cell shows that the find is wiped out. When its own echo
;strategy ends the lap, it clears the core.
;assert 1
first   EQU 16

ping    DAT.F  #first, #1
depth   DAT.F  #first, #1
        DAT.F  #0, #0
listen  JMZ.F  listen, }ping
        SLT.A  depth, ping
        JMP.B  home
        SUB.A  back, ping
blast   MOV.I  depth, }ping
        JMN.F  blast, *ping
        JMP.B  listen
home    MOV.I  depth, ping
        SPL.B  #0, }ping
sweep   MOV.I  depth, }ping
        DJN.F  sweep, }ping
back    DAT.F  #3, #0
        ORG    listen
        END
