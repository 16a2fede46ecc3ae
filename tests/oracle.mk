# tests: oracle
