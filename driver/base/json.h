/* json.h: writes one JSON object into a fixed buffer, without malloc or stdio.
 *
 * Calls nest as the document does: json_open(j, "key") .. json_close(j). Inside
 * an array the key is NULL. Doubles keep nine decimals; what is not finite, or
 * beyond 10^18, becomes null. What is no UTF-8 becomes U+FFFD.
 */
#ifndef ALLOCPHASE_JSON_H
#define ALLOCPHASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
  char *text;
  size_t length;
  size_t capacity;
  bool first; /* nothing stands before the next item on this level */
};

void json_start(struct json *json);
void json_open(struct json *json, const char *key);
void json_close(struct json *json);
void json_open_array(struct json *json, const char *key);
void json_close_array(struct json *json);
void json_string(struct json *json, const char *key, const char *value);
void json_integer(struct json *json, const char *key, uint64_t value);
void json_double(struct json *json, const char *key, double value);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
/* Ends the document, with the files that were written before and the keeper's token
 * (channel.h), and writes it to `path`. */
void json_finish(struct json *json, const char *path);

#endif
