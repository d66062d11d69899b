/* What the standard library calls in libunwind for a panic's backtrace. A release has no unwind
   tables, so the real library, 34 KB on MIPS, would find nothing either. */

#define END_OF_STACK 5

int _Unwind_Backtrace(void *visit, void *argument) {
  (void)visit, (void)argument;
  return END_OF_STACK;
}

unsigned long _Unwind_GetIP(void *frame) {
  (void)frame;
  return 0;
}

unsigned long _Unwind_GetCFA(void *frame) {
  (void)frame;
  return 0;
}

void *_Unwind_FindEnclosingFunction(void *place) {
  (void)place;
  return 0;
}
