"""nbgrader's settings for the course."""

c = get_config()  # type: ignore[name-defined]  # noqa: F821  # nbgrader defines it
c.CourseDirectory.course_id = "sockets"
# For one cell, in seconds: a check takes up to 20, and ends by itself.
c.ExecutePreprocessor.timeout = 60
# A student's own cell that waits for ever costs its points, not the notebook's.
c.ExecutePreprocessor.interrupt_on_timeout = True
