"""What tests share: servers, disks, models and runs to test with."""
