/* tests/support/unit.h
 *
 * What every unit test includes: cmocka with the headers that it expects before it, the helpers, and assertions on
 * statuses that show the error's text. */
#ifndef DLT_TESTS_UNIT_H
#define DLT_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/support.h"

/* The call succeeds; `e` (struct error *) is what it was given. */
#define assert_ok(call, e)                                                                                        \
    do {                                                                                                          \
        if ((call) != STATUS_OK)                                                                                  \
            fail_msg("%s: %s: %s", #call, status_name((e)->status), (e)->text);                                   \
    } while (0)

/* The call fails with this status, in its result and in `e`. */
#define assert_status(call, expected, e)                                                                          \
    do {                                                                                                          \
        enum status status_of_call_ = (call);                                                                     \
        if (status_of_call_ != (expected))                                                                        \
            fail_msg("%s: %s instead of %s: %s", #call, status_name(status_of_call_), status_name(expected),      \
                     status_of_call_ == STATUS_OK ? "" : (e)->text);                                              \
        if (status_of_call_ != STATUS_OK)                                                                         \
            assert_int_equal((e)->status, (expected));                                                            \
    } while (0)

/* The text contains a part. */
#define assert_contains(text, part)                                                                               \
    do {                                                                                                          \
        if (!strstr((text), (part)))                                                                              \
            fail_msg("\"%s\" is not in \"%s\"", (part), (text));                                                  \
    } while (0)

#endif
