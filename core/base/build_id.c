/* core/base/build_id.c
 *
 * The commit that was built: the only file that is compiled anew for each one. */
#include "core/base.h"

const char dlt_build_id[] = DLT_COMMIT;
