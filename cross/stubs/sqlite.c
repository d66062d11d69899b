/* SQLite without the parts of its language that the queue never speaks, 40 KB on x86_64. RETURNING
   stays, and with it triggers, which it is made of. The parser that SQLite comes with knows all of
   the language and calls what the options below leave out: each such call is an error of its
   statement. cross/cc compiles this file in place of sqlite3.c, which it includes. */

#define SQLITE_OMIT_ANALYZE
#define SQLITE_OMIT_FOREIGN_KEY
#define SQLITE_OMIT_GENERATED_COLUMNS
#define SQLITE_OMIT_INTROSPECTION_PRAGMAS
#define SQLITE_OMIT_REINDEX
#define SQLITE_OMIT_VIEW
#define SQLITE_OMIT_WINDOWFUNC

/* No file is mapped. */
#define SQLITE_MAX_MMAP_SIZE 0

#define LEFT_OUT(parse) (sqlite3ErrorMsg(parse, "this is left out of SQLite"), (void *)0)

#define sqlite3WindowAlloc(parse, ...) LEFT_OUT(parse)
#define sqlite3WindowAssemble(parse, ...) LEFT_OUT(parse)
#define sqlite3WindowChain(parse, ...) LEFT_OUT(parse)
#define sqlite3WindowListDelete(...)
/* `select->pWinDefn = windows;` */
#define pWinDefn pLimit, *(void **)windows
static void *windows[1];

/* A column can be added. What renames one, 15 KB of functions in SQL, is not registered: the call,
   without an argument, becomes nothing, and its definition a function that nobody calls. */
#define sqlite3AlterFunctions(argument) RENAMES_##argument
#define RENAMES_ (void)0
#define RENAMES_void rename_functions(void)

#include "sqlite3.c"

/* These have a declaration, so they cannot be macros. */
#define LEAVE_OUT(name, ...) \
  static void name(Parse *parse, ##__VA_ARGS__) { LEFT_OUT(parse); }

LEAVE_OUT(sqlite3Analyze, Token *a, Token *b)
LEAVE_OUT(sqlite3CreateView, Token *a, Token *b, Token *c, ExprList *d, Select *e, int f, int g)
LEAVE_OUT(sqlite3Reindex, Token *a, Token *b)
