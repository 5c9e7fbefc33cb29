enum color { RED, GREEN=5, BLUE=-1 };
struct inner { char c; short s; };
typedef struct { int x; } anon_t;
struct val { __u32 a; __u64 b[2]; char name[8]; enum color col; enum color col2; struct inner in; struct inner arr[2]; void *p; struct val *q; _Bool t; int bf1:3; unsigned bf2:5; const volatile int cv; union { int u1; float u2; }; anon_t an; double d; float f; __s16 neg; signed char sc; __u8 bytes[3]; int zero[0]; long ll; };
