/// Declares a set of the values of an enum, with a bit for each as the enum numbers them.
macro_rules! set_of {
    ($(#[$doc:meta])* $name:ident of $item:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name(u32);

        impl $name {
            pub const EMPTY: $name = $name(0);
            pub const ALL: $name = $name::of(&$item::ALL);

            pub const fn of(items: &[$item]) -> $name {
                let mut bits = 0;
                let mut i = 0;
                while i < items.len() {
                    bits |= 1 << items[i] as u32;
                    i += 1;
                }
                $name(bits)
            }

            pub const fn bits(self) -> u32 {
                self.0
            }

            pub const fn contains(self, item: $item) -> bool {
                self.0 & (1 << item as u32) != 0
            }

            pub const fn intersects(self, other: $name) -> bool {
                self.0 & other.0 != 0
            }

            pub const fn union(self, other: $name) -> $name {
                $name(self.0 | other.0)
            }

            pub const fn intersection(self, other: $name) -> $name {
                $name(self.0 & other.0)
            }

            pub const fn without(self, other: $name) -> $name {
                $name(self.0 & !other.0)
            }

            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            pub const fn len(self) -> u32 {
                self.0.count_ones()
            }

            pub fn iter(self) -> impl Iterator<Item = $item> {
                $item::ALL.into_iter().filter(move |item| self.contains(*item))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_set().entries(self.iter()).finish()
            }
        }
    };
}

pub(super) use set_of;
