# tests: cpu
