#include <nats/nats.h>

// An nkey seed file holds the seed only; libnats 3.4.1 also wants the public key, which libcrypto (libnats' own
// dependency) derives.
#include <openssl/evp.h>
