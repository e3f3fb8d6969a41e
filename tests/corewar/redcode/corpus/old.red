8;redcode
;author nobody
b dat #0
s add #4, b
 mov b, @b
 jmp s
 end s
