"""The families of tasks that people bring to the assistant of Larkhaven; one module a family."""
