/* server.c: a server without a network: readers make requests, workers answer them.
 *
 *   server WORKERS REQUESTS
 *
 * A reader builds each request as a list of headers and a body, and hands it over in a
 * queue; a worker takes it apart, makes an answer and frees the request, which another
 * thread has allocated; the reader frees the answer. So objects of many sizes cross
 * threads both ways, as in servers, through a mutex and a condition, as there. What is
 * printed does not depend on who was faster.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE 64
#define HEADERS 12

struct header {
  struct header *next;
  char *name, *value;
};

struct request {
  uint64_t number;
  struct header *headers;
  char *body;
  size_t body_length;
  struct queue *answers;
};

struct answer {
  uint64_t number, check;
  char *text;
};

struct queue {
  pthread_mutex_t lock;
  pthread_cond_t filled, emptied;
  void *items[QUEUE];
  unsigned first, count;
};

static struct queue requests = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
                                PTHREAD_COND_INITIALIZER, {0}, 0, 0};
static uint64_t requests_each;

static void put(struct queue *queue, void *item) {
  pthread_mutex_lock(&queue->lock);
  while (queue->count == QUEUE) pthread_cond_wait(&queue->emptied, &queue->lock);
  queue->items[(queue->first + queue->count++) % QUEUE] = item;
  pthread_cond_signal(&queue->filled);
  pthread_mutex_unlock(&queue->lock);
}

static void *take(struct queue *queue) {
  pthread_mutex_lock(&queue->lock);
  while (queue->count == 0) pthread_cond_wait(&queue->filled, &queue->lock);
  void *item = queue->items[queue->first];
  queue->first = (queue->first + 1) % QUEUE;
  queue->count--;
  pthread_cond_signal(&queue->emptied);
  pthread_mutex_unlock(&queue->lock);
  return item;
}

static uint64_t next(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state >> 33;
}

static char *text(uint64_t *state, size_t length) {
  char *made = malloc(length + 1);
  if (!made) abort();
  for (size_t i = 0; i < length; i++) made[i] = (char)('a' + (*state >> (i % 32)) % 26);
  made[length] = '\0';
  next(state);
  return made;
}

static struct request *make_request(uint64_t number, struct queue *answers) {
  uint64_t state = number;
  struct request *made = calloc(1, sizeof *made);
  if (!made) abort();
  made->number = number;
  made->answers = answers;
  for (uint64_t i = 0, count = 4 + next(&state) % HEADERS; i < count; i++) {
    struct header *header = malloc(sizeof *header);
    if (!header) abort();
    header->name = text(&state, 4 + next(&state) % 16);
    header->value = text(&state, 1 + next(&state) % 90);
    header->next = made->headers;
    made->headers = header;
  }
  made->body_length = next(&state) % 8 ? next(&state) % 1500 : next(&state) % 30000;
  made->body = text(&state, made->body_length);
  return made;
}

static struct answer *serve(struct request *request) {
  struct answer *made = malloc(sizeof *made);
  if (!made) abort();
  made->number = request->number;
  made->check = request->body_length;
  made->text = malloc(16);
  if (!made->text) abort();
  size_t length = 0;
  for (struct header *header = request->headers, *after; header; header = after) {
    after = header->next;
    size_t more = strlen(header->value);
    made->text = realloc(made->text, length + more + 1);
    if (!made->text) abort();
    memcpy(made->text + length, header->value, more + 1);
    length += more;
    free(header->name);
    free(header->value);
    free(header);
  }
  for (size_t i = 0; i < length; i += 16) made->check = made->check * 31 + (unsigned char)made->text[i];
  free(request->body);
  free(request);
  return made;
}

static void *work(void *unused) {
  (void)unused;
  for (struct request *request; (request = take(&requests));) {
    struct queue *answers = request->answers;
    put(answers, serve(request));
  }
  return NULL;
}

static void *read_requests(void *reader) {
  static const struct queue empty = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
                                     PTHREAD_COND_INITIALIZER, {0}, 0, 0};
  struct queue answers = empty;
  uint64_t sum = 0, asked = 0, first = (uintptr_t)reader * requests_each;
  for (uint64_t answered = 0; answered < requests_each;) {
    while (asked < requests_each && asked - answered < QUEUE / 2)
      put(&requests, make_request(first + asked++, &answers));
    struct answer *answer = take(&answers);
    sum += answer->check ^ answer->number;
    free(answer->text);
    free(answer);
    answered++;
  }
  return (void *)(uintptr_t)sum;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  unsigned workers = (unsigned)atoi(argv[1]);
  requests_each = strtoull(argv[2], NULL, 10);
  pthread_t *threads = calloc(2 * workers, sizeof *threads);
  uint64_t sum = 0;
  if (!threads || !workers) return 2;
  for (unsigned i = 0; i < workers; i++) {
    pthread_create(&threads[i], NULL, work, NULL);
    pthread_create(&threads[workers + i], NULL, read_requests, (void *)(uintptr_t)i);
  }
  for (unsigned i = 0; i < workers; i++) {
    void *part;
    pthread_join(threads[workers + i], &part);
    sum += (uintptr_t)part;
  }
  for (unsigned i = 0; i < workers; i++) put(&requests, NULL);
  for (unsigned i = 0; i < workers; i++) pthread_join(threads[i], NULL);
  free(threads);
  printf("%u %llu %016llx\n", workers, (unsigned long long)requests_each, (unsigned long long)sum);
  return 0;
}
