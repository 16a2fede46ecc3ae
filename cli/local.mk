# cli: the orcd program, one file per verb
