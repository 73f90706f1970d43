package bench_test

const bareRedis = "JANGBU_BENCH_BARE_REDIS"

func serveBare() int { return 0 }
