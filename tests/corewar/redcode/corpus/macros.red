4;redcode
k equ mov 0, \
 1
 equ jmp -1
 pin 3
 k
lab: spl (x=3)+x*2 % 7, >CURLINE
 ldp.ab #0, {lab
 stp.f }1, *2
 org lab == 2 || !lab
