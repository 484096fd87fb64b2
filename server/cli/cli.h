/* server/cli/cli.h
 *
 * The commands of `dltrigger`.  Each gets its own name as argv[0] and returns the exit status: 0 done, 1 the work
 * failed, 2 wrong usage. */
#ifndef DLT_SERVER_CLI_CLI_H
#define DLT_SERVER_CLI_CLI_H

int cli_run(int argc, char **argv);

#endif
