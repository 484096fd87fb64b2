/* core/model/tree_forest.h
 *
 * Decision trees over the 14 features: how they are stored, and what they answer.
 *
 * Stored: two floats a node, (feature, threshold) or (-1, value of the leaf), a tree's nodes level by level, tree behind
 * tree.  The k-th inner node of a tree has nodes 2 k + 1 and 2 k + 2 (k from 0) as its children: left where feature <
 * threshold.  So a tree ends where nothing is left to follow, no index is stored, and none can be wrong.  Tree i
 * belongs to class i % n_classes. */
#ifndef DLT_CORE_MODEL_TREE_FOREST_H
#define DLT_CORE_MODEL_TREE_FOREST_H

#include "core/feature.h"

enum { TREE_DEPTH_MAX = 16, TREE_NODE_FLOATS = 2 };

struct forest;

/* Of stored trees; averaged: leaves are parts of a class, else logits.  The caller's.  Fails: FORMAT (a feature that
 * does not exist, a tree without end or deeper than TREE_DEPTH_MAX, numbers that are not finite, classes with unequal
 * numbers of trees), NOMEM. */
enum status forest_create(const float *stored, size_t n_floats, size_t n_classes, bool averaged, struct forest **out,
                          struct error *e) MUST_USE;
void forest_destroy(struct forest *f);                        /* NULL allowed */
size_t forest_n_trees(const struct forest *f);
/* Of the first n trees. */
size_t forest_n_floats(const struct forest *f, size_t n_trees);

/* Probabilities [n][n_classes] of raw rows [n][HLF_COUNT]; the same bits for a row in any batch.  A row with a number that is
 * not finite gives NaN.  Without trees all classes are equal. */
void forest_predict(const struct forest *f, const float *hlf, size_t n, float *out);
/* sum[i * n_classes + c] += leaf of the row at rows + index[i] * stride in each tree of class c, tree by tree. */
void forest_add(const struct forest *f, const float *rows, size_t stride, const uint32_t *index, size_t n, float *sum);
/* Sums of leaves to probabilities, in place. */
void forest_probabilities(bool averaged, float *sum, size_t n_classes);

#endif
