# plugins/mock
