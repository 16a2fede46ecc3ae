/* The native API's handlers; see struct route. */
#ifndef ORCD_HTTP_API_NATIVE_H
#define ORCD_HTTP_API_NATIVE_H

struct exchange;

void api_health(struct exchange *x);
void api_health_live(struct exchange *x);
void api_metrics(struct exchange *x);
void api_model(struct exchange *x);
void api_execute_parse(struct exchange *x);
void api_execute(struct exchange *x);
void api_cancel_parse(struct exchange *x);
void api_cancel(struct exchange *x);
void api_cancel_by_path(struct exchange *x);
void api_tokenize(struct exchange *x);
void api_detokenize(struct exchange *x);
void api_shutdown(struct exchange *x);

#endif
