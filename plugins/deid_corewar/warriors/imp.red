;redcode-94
;name imp
;author deid
;family imps
;cores 8000 800
;strategy The smallest warrior: copies itself one cell ahead and steps onto the copy.
;assert 1
        MOV.I  $0, $1
        END
