#include "base/json.h"

#include <string.h>

#include "base/channel.h"
#include "base/system.h"

/* Hundreds of system call names and stats fit many times over. */
#define JSON_CAPACITY ((size_t)4 << 20)

static void put(struct json *json, const char *text, size_t length) {
  if (json->length + length > json->capacity) die(EXIT_TOOL, "result", "does not fit its buffer");
  memcpy(json->text + json->length, text, length);
  json->length += length;
}

static void put_char(struct json *json, char c) { put(json, &c, 1); }

/* How many bytes the character at `c` has, 0 when they are no UTF-8 (RFC 3629). A
 * terminating zero is no continuation, so that nothing behind it is read. */
static size_t utf8_length(const unsigned char *c) {
  if (c[0] < 0x80) return 1;
  size_t length = c[0] >= 0xf0 ? 4 : c[0] >= 0xe0 ? 3 : 2;
  if (c[0] < 0xc2 || c[0] > 0xf4) return 0;
  for (size_t i = 1; i < length; i++)
    if ((c[i] & 0xc0) != 0x80) return 0;
  bool overlong = (c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xf0 && c[1] < 0x90);
  bool surrogate = c[0] == 0xed && c[1] >= 0xa0;
  bool beyond = c[0] == 0xf4 && c[1] >= 0x90;
  return overlong || surrogate || beyond ? 0 : length;
}

static void put_string(struct json *json, const char *value) {
  static const char hex[] = "0123456789abcdef";
  size_t length = 0;
  put_char(json, '"');
  for (const unsigned char *c = (const unsigned char *)value; *c; c += length ? length : 1) {
    length = utf8_length(c);
    if (length == 0) {
      put(json, "\\ufffd", 6);
    } else if (*c == '"' || *c == '\\') {
      char escaped[2] = {'\\', (char)*c};
      put(json, escaped, 2);
    } else if (*c < 0x20 || *c == 0x7f) {
      char escaped[6] = {'\\', 'u', '0', '0', hex[*c >> 4], hex[*c & 15]};
      put(json, escaped, 6);
    } else {
      put(json, (const char *)c, length);
    }
  }
  put_char(json, '"');
}

static void put_integer(struct json *json, uint64_t value) {
  char digits[20];
  size_t count = 0;
  do digits[count++] = (char)('0' + value % 10);
  while (value /= 10);
  while (count) put_char(json, digits[--count]);
}

static void item(struct json *json, const char *key) {
  if (!json->first) put_char(json, ',');
  json->first = false;
  if (!key) return;
  put_string(json, key);
  put_char(json, ':');
}

static void enter(struct json *json, const char *key, char bracket) {
  item(json, key);
  put_char(json, bracket);
  json->first = true;
}

static void leave(struct json *json, char bracket) {
  put_char(json, bracket);
  json->first = false;
}

void json_start(struct json *json) {
  json->text = take_pages(JSON_CAPACITY);
  json->capacity = JSON_CAPACITY;
  json->length = 0;
  json->first = true;
  put_char(json, '{');
}

void json_open(struct json *json, const char *key) { enter(json, key, '{'); }
void json_close(struct json *json) { leave(json, '}'); }
void json_open_array(struct json *json, const char *key) { enter(json, key, '['); }
void json_close_array(struct json *json) { leave(json, ']'); }

void json_string(struct json *json, const char *key, const char *value) {
  item(json, key);
  put_string(json, value);
}

void json_integer(struct json *json, const char *key, uint64_t value) {
  item(json, key);
  put_integer(json, value);
}

void json_double(struct json *json, const char *key, double value) {
  const double limit = 1e18; /* beyond it the integer part leaves uint64_t */
  if (!(value > -limit && value < limit)) {
    json_null(json, key);
    return;
  }
  item(json, key);
  if (value < 0) put_char(json, '-');
  double magnitude = value < 0 ? -value : value;
  uint64_t whole = (uint64_t)magnitude;
  uint64_t billionths = (uint64_t)((magnitude - (double)whole) * 1e9 + 0.5);
  if (billionths == 1000000000u) {
    whole++;
    billionths = 0;
  }
  put_integer(json, whole);
  if (billionths == 0) return;
  put_char(json, '.');
  for (uint64_t unit = 100000000u; billionths; billionths %= unit, unit /= 10)
    put_char(json, (char)('0' + billionths / unit));
}

void json_bool(struct json *json, const char *key, bool value) {
  item(json, key);
  put(json, value ? "true" : "false", value ? 4 : 5);
}

void json_null(struct json *json, const char *key) {
  item(json, key);
  put(json, "null", 4);
}

static const char *name_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* What else is the driver's: whoever reads the folder takes no other files from it. */
static void put_origin(struct json *json) {
  size_t count;
  const struct written *files = system_files(&count);
  json_open(json, "files");
  for (size_t i = 0; i < count; i++) json_integer(json, name_of(files[i].path), files[i].bytes);
  json_close(json);
  json_string(json, "token", channel_token());
}

void json_finish(struct json *json, const char *path) {
  put_origin(json);
  put(json, "}\n", 2);
  write_file(path, json->text, json->length);
}
