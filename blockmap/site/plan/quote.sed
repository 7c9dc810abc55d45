# Lines of shell as a row of C strings, without the first, which is shellcheck's.
1d
s/\\/\\\\/g
s/"/\\"/g
s/\t/\\t/g
s/.*/"&",/
