/* tests/fuzz/fuzz_keras_config.c
 *
 * Configurations of Keras models from hostile text: what is accepted makes a network or says why not. */
#include "core/model/graph.h"
#include "core/model/keras.h"
#include "server/json/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct error e;
    const struct document *config;
    arena_init(&a, 64 << 20);
    struct keras_network *k = ARENA_NEW(&a, struct keras_network, 1);
    check(k);
    if (document_parse(&a, (struct span){data, size}, &config, &e) == STATUS_OK && keras_config(&a, config, k, &e) == STATUS_OK) {
        struct field_list list = {k->layer, k->n}, resolved;
        struct net *net;
        (void)!graph_build(&a, &list, graph_classes(&list), "layers", &resolved, &net, &e);
        net_destroy(net);
    }
    arena_fini(&a);
    return 0;
}

#define FUZZ_NAME "keras_config"
#include "tests/fuzz/replay.h"
