/* A shared object, but no plugin. */
#include <stdint.h>

extern uint32_t something_else;
uint32_t something_else = 1;
