/* The handlers of the native API: parse and run of struct route, which says on which thread
 * each of them runs. */
#ifndef ORCD_API_NATIVE_H
#define ORCD_API_NATIVE_H

struct exchange;

void native_health(struct exchange *x);
void native_health_live(struct exchange *x);
void native_metrics(struct exchange *x);
void native_model(struct exchange *x);
void native_execute_parse(struct exchange *x);
void native_execute(struct exchange *x);
void native_cancel_parse(struct exchange *x);
void native_cancel(struct exchange *x);
void native_cancel_by_path(struct exchange *x);
void native_tokenize(struct exchange *x);
void native_detokenize(struct exchange *x);
void native_shutdown(struct exchange *x);

#endif
