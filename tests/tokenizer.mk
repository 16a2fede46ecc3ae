# tests: tokenizer
