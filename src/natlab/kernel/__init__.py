"""The only code that touches the kernel: small functions that act where they are called."""
