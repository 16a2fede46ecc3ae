/* Reads all that a GGUF file holds, as orcd would: for mutation tests and fuzzing. */
#ifndef ORCD_TESTS_CONSUME_H
#define ORCD_TESTS_CONSUME_H

#include <stddef.h>

/* Every key and array, the model, and every tensor dequantized. Returns the ORCD_E_ code
 * of model_from_gguf (or of the reader, when that refuses). */
int consume_model(const void *data, size_t bytes);

#endif
