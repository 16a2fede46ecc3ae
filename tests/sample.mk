# tests: sample
