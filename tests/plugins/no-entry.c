/* A shared object that is not a plugin. */
#include <stdint.h>

extern uint32_t something_else;
uint32_t something_else = 1;
