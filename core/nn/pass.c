/* core/nn/pass.c
 *
 * Running a network over rows: forward, loss, backward. */
#include "core/nn/net.h"

#include "core/nn/net_plan.h"

/* Four groups of lanes are worked on together; further ones lie at an odd number of cache lines from feature to
 * feature, so that features do not compete for the same sets of the cache. */
size_t pass_ld(size_t rows)
{
    if (rows <= 1)
        return 1;
    size_t groups = (rows + NN_LANES - 1) / NN_LANES;
    return (groups > 4 && groups % 2 == 0 ? groups + 1 : groups) * NN_LANES;
}

size_t pass_work_size(const struct net *net, size_t rows, bool training)
{
    size_t ld = pass_ld(training && rows == 1 ? 2 : rows);
    return training ? net->training_numbers * ld + net->training_scratch
                    : net->scoring_numbers * ld + net->scoring_scratch;
}

struct net_memory net_memory(const struct net *net, size_t rows)
{
    return (struct net_memory){net->n_params * sizeof(float), pass_work_size(net, rows, false) * sizeof(float),
                               pass_work_size(net, rows, true) * sizeof(float)};
}

void pass_init(struct pass *p, const struct net *net, size_t rows, bool training, float *work)
{
    check(net->finished);
    size_t ld = pass_ld(training && rows == 1 ? 2 : rows);    /* gradients want lanes */
    *p = (struct pass){.net = net, .k = kernels_get(), .ld = ld, .training = training, .work = work};
}

static float *value_at(const struct pass *p, size_t value)
{
    const struct value *v = &p->net->value[value];
    return p->work + (p->training ? v->training : v->scoring) * p->ld;
}

static float *gradient_at(const struct pass *p, size_t value)
{
    return p->work + p->net->value[value].gradient * p->ld;
}

float *pass_input(const struct pass *p, size_t i_input)
{
    check(i_input < p->net->n_inputs);
    return value_at(p, i_input);
}

float *pass_output(const struct pass *p)
{
    return value_at(p, p->net->n_values - 1);
}

const float *pass_layer_output(const struct pass *p, size_t i_layer)
{
    check(p->training && i_layer < p->net->n_layers);
    return value_at(p, p->net->node[i_layer].output);
}

static size_t lanes_of(const struct pass *p, size_t n)
{
    size_t lanes = p->ld == 1 ? n : (n + NN_LANES - 1) / NN_LANES * NN_LANES;
    check(n > 0 && lanes <= p->ld);
    return lanes;
}

/* What forward needs; backward adds its own. */
static void call_init(struct layer_call *c, const struct pass *p, const struct node *node, const float *params,
                      size_t n, const uint32_t *length)
{
    c->k = p->k;
    c->n = n;
    c->lanes = lanes_of(p, n);
    c->ld = p->ld;
    c->length = length;
    c->training = p->training;
    c->i_layer = (size_t)(node - p->net->node);
    c->noise = p->noise;
    c->params = params + node->params;
    c->out = value_at(p, node->output);
    c->state = p->work + (p->training ? node->state_training : node->state_scoring) * p->ld;
    c->scratch = p->work + (p->training ? p->net->training_numbers : p->net->scoring_numbers) * p->ld;
    for (size_t j = 0; j < node->layer.n_inputs; j++)
        c->in[j] = value_at(p, node->input[j]);
}

void pass_forward(const struct pass *p, const float *params, size_t n, const uint32_t *length)
{
    for (size_t i = 0; i < p->net->n_layers; i++) {
        const struct node *node = &p->net->node[i];
        struct layer_call c;                                  /* not cleared: that costs as much as a narrow layer */
        call_init(&c, p, node, params, n, length);
        node->layer.kind->forward(&node->layer, &c);
    }
}

void pass_softmax(const struct pass *p, size_t n)
{
    float *out = pass_output(p);
    size_t n_classes = net_output(p->net).features;
    if (p->ld == 1)
        p->k->softmax_row(n_classes, out, out);
    else
        p->k->softmax(n_classes, lanes_of(p, n), p->ld, out, out);
}

void pass_loss(const struct pass *p, size_t n, const float *label, const float *weight, float scale,
               struct loss_sums *sums)
{
    check(p->training);
    p->k->softmax_loss(net_output(p->net).features, lanes_of(p, n), p->ld, pass_output(p), label, weight, scale,
                       gradient_at(p, p->net->n_values - 1), sums);
}

void pass_backward(const struct pass *p, const float *params, size_t n, const uint32_t *length, float *grads)
{
    check(p->training);
    for (size_t i = p->net->n_layers; i-- > 0;) {
        const struct node *node = &p->net->node[i];
        struct layer_call c = {0};
        call_init(&c, p, node, params, n, length);
        c.d_out = gradient_at(p, node->output);
        c.grads = grads + node->params;
        for (size_t j = 0; j < node->layer.n_inputs; j++) {
            c.d_in[j] = node->input[j] < p->net->n_inputs ? NULL : gradient_at(p, node->input[j]);
            c.add_in[j] = node->add_in[j];
        }
        node->layer.kind->backward(&node->layer, &c);
    }
}
