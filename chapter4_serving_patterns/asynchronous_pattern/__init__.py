"""Take work under a job id at once and do it later in workers of its own, and lose none of it whatever dies."""
