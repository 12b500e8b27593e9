from bench.uplink import main

main()
