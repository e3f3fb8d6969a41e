;redcode-94
;name lichen
;author deid
;family papers
;cores 8000 800
;strategy One process and a loop: copies itself cell by cell, starts the copy, and begins anew
;strategy at another distance. The old way; slow, but every copy is complete before it runs.
;assert CORESIZE % 5 == 0
far     EQU (CORESIZE*2/5+37)

from    JMP.B  1, #0
        MOV.AB #8, from
grow    MOV.I  <from, <to
        JMN.B  grow, from
        SPL.B  @to, 0
        ADD.AB #far, to
        JMP.B  from
to      DAT.F  #0, #far
        END
