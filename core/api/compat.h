/* Routes that clients of llama.cpp's server and of vLLM ask beside OpenAI's: parse and run of struct route,
 * which says on which thread each of them runs. Fields that we do not know are ignored, as there. */
#ifndef ORCD_API_COMPAT_H
#define ORCD_API_COMPAT_H

struct exchange;

void compat_version(struct exchange *x); /* vLLM: {"version"} */
void compat_props(struct exchange *x);   /* llama.cpp: context, slots, model */
void compat_tokenize(
    struct exchange *x); /* {"content"}: llama.cpp's answer; {"prompt"} or {"messages"}: vLLM's */
void compat_detokenize(struct exchange *x);     /* {"content"} for the one, {"prompt"} for the other */
void compat_apply_template(struct exchange *x); /* llama.cpp: {"messages"} to {"prompt"} */

#endif
