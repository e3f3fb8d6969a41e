4;redcode-94
;name joints
;assert CORESIZE==800 && MAXLENGTH>=4
step equ 4
i for 3
bomb&i dat #step*i, step-i
rof
 org go
go mov.i bomb01, @bomb02
 jmp.b -1, <-5
 end
