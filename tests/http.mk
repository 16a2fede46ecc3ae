# tests: http
