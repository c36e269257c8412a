"""Every statement that a formula executes, and the names, shapes and numbers that it sets."""
