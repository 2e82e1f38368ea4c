; An ensemble of eight variants of one idea: sell into overheated markets, buy what has fallen hard, and otherwise let technology and
; managed futures decide. Of the variants the one that has been moving most over the last five sessions is followed.
(defsymphony
  "KLM ensemble, the liveliest of eight variants"
  {:asset-class "EQUITIES" :rebalance-threshold 0.1}
  (weight-equal
   [(filter (stdev-return {:window 5}) (select-top 1)
     [(group "506/38"
       [(if (> (rsi "QQQE" {:window 10}) 79)
          [(asset "UVXY")]
          [(if (> (rsi "VTV" {:window 10}) 79)
             [(asset "UVXY")]
             [(if (> (rsi "VOX" {:window 10}) 79)
                [(asset "UVXY")]
                [(if (> (rsi "TECL" {:window 10}) 79)
                   [(asset "UVXY")]
                   [(if (> (rsi "VOOG" {:window 10}) 79)
                      [(asset "UVXY")]
                      [(if (> (rsi "VOOV" {:window 10}) 79)
                         [(asset "UVXY")]
                         [(if (> (rsi "XLP" {:window 10}) 75)
                            [(asset "UVXY")]
                            [(if (> (rsi "TQQQ" {:window 10}) 79)
                               [(asset "UVXY")]
                               [(if (> (rsi "XLY" {:window 10}) 80)
                                  [(asset "UVXY")]
                                  [(if (> (rsi "FAS" {:window 10}) 80)
                                     [(asset "UVXY")]
                                     [(if (> (rsi "SPY" {:window 10}) 80)
                                        [(asset "UVXY")]
                                        [(if (> (rsi "UVXY" {:window 21}) 65)
                                           [(if (> (rsi "SPY" {:window 21}) 30)
                                             [(asset "VIXM")]
                                             [(asset "SPXL")])]
                                           [(if (< (rsi "TQQQ" {:window 10}) 30)
                                              [(asset "TECL")]
                                              [(if (< (rsi "SOXL" {:window 10}) 30)
                                                 [(asset "SOXL")]
                                                 [(if (< (rsi "SPXL" {:window 10}) 30)
                                                    [(asset "SPXL")]
                                                    [(if (> (rsi "XLK" {:window 10}) (rsi "KMLM" {:window 10}))
                                                       [(filter (rsi {:window 10}) (select-bottom 1) [(asset "FNGU")])]
                                                       [(filter (stdev-return {:window 6}) (select-bottom 1) [(asset "UUP") (asset "FTLS") (asset "KMLM")])])])])])])])])])])])])])])])])])])
      (group "1280/26"
       [(if (> (rsi "QQQE" {:window 10}) 79)
          [(asset "UVXY")]
          [(if (> (rsi "VTV" {:window 10}) 79)
             [(asset "UVXY")]
             [(if (> (rsi "VOX" {:window 10}) 79)
                [(asset "UVXY")]
                [(if (> (rsi "TECL" {:window 10}) 79)
                   [(asset "UVXY")]
                   [(if (> (rsi "VOOG" {:window 10}) 79)
                      [(asset "UVXY")]
                      [(if (> (rsi "VOOV" {:window 10}) 79)
                         [(asset "UVXY")]
                         [(if (> (rsi "XLP" {:window 10}) 75)
                            [(asset "UVXY")]
                            [(if (> (rsi "TQQQ" {:window 10}) 79)
                               [(asset "UVXY")]
                               [(if (> (rsi "XLY" {:window 10}) 80)
                                  [(asset "UVXY")]
                                  [(if (> (rsi "FAS" {:window 10}) 80)
                                     [(asset "UVXY")]
                                     [(if (> (rsi "SPY" {:window 10}) 80)
                                        [(asset "UVXY")]
                                        [(if (< (rsi "TQQQ" {:window 10}) 30)
                                           [(asset "TECL")]
                                           [(if (< (rsi "SOXL" {:window 10}) 30)
                                              [(asset "SOXL")]
                                              [(if (< (rsi "SPXL" {:window 10}) 30)
                                                 [(asset "SPXL")]
                                                 [(if (< (rsi "LABU" {:window 10}) 25)
                                                    [(asset "LABU")]
                                                    [(if (> (rsi "XLK" {:window 10}) (rsi "KMLM" {:window 10}))
                                                       [(filter (rsi {:window 10}) (select-bottom 2) [(asset "TECL") (asset "SOXL") (asset "SVIX")])]
                                                       [(filter (rsi {:window 10}) (select-top 1) [(asset "SQQQ") (asset "TLT")])])])])])])])])])])])])])])])])])])
      (group "1200/28"
       [(if (> (rsi "QQQE" {:window 10}) 79)
          [(asset "UVXY")]
          [(if (> (rsi "VTV" {:window 10}) 79)
             [(asset "UVXY")]
             [(if (> (rsi "VOX" {:window 10}) 79)
                [(asset "UVXY")]
                [(if (> (rsi "TECL" {:window 10}) 79)
                   [(asset "UVXY")]
                   [(if (> (rsi "VOOG" {:window 10}) 79)
                      [(asset "UVXY")]
                      [(if (> (rsi "VOOV" {:window 10}) 79)
                         [(asset "UVXY")]
                         [(if (> (rsi "XLP" {:window 10}) 75)
                            [(asset "UVXY")]
                            [(if (> (rsi "TQQQ" {:window 10}) 79)
                               [(asset "UVXY")]
                               [(if (> (rsi "XLY" {:window 10}) 80)
                                  [(asset "UVXY")]
                                  [(if (> (rsi "FAS" {:window 10}) 80)
                                     [(asset "UVXY")]
                                     [(if (> (rsi "SPY" {:window 10}) 80)
                                        [(asset "UVXY")]
                                        [(if (> (rsi "UVXY" {:window 21}) 65)
                                           [(if (> (rsi "SPY" {:window 21}) 30)
                                             [(asset "VIXM")]
                                             [(asset "SPXL")])]
                                           [(if (< (rsi "TQQQ" {:window 10}) 30)
                                              [(asset "TECL")]
                                              [(if (< (rsi "SOXL" {:window 10}) 30)
                                                 [(asset "SOXL")]
                                                 [(if (< (rsi "SPXL" {:window 10}) 30)
                                                    [(asset "SPXL")]
                                                    [(if (> (rsi "XLK" {:window 10}) (rsi "KMLM" {:window 10}))
                                                       [(filter (rsi {:window 10}) (select-bottom 1) [(asset "TECL") (asset "SOXL") (asset "SVIX")])]
                                                       [(filter (rsi {:window 10}) (select-top 1) [(asset "SQQQ") (asset "TLT")])])])])])])])])])])])])])])])])])])
      (group "520/22"
       [(if (> (rsi "QQQE" {:window 10}) 79)
          [(asset "UVXY")]
          [(if (> (rsi "VTV" {:window 10}) 79)
             [(asset "UVXY")]
             [(if (> (rsi "VOX" {:window 10}) 79)
                [(asset "UVXY")]
                [(if (> (rsi "TECL" {:window 10}) 79)
                   [(asset "UVXY")]
                   [(if (> (rsi "VOOG" {:window 10}) 79)
                      [(asset "UVXY")]
                      [(if (> (rsi "VOOV" {:window 10}) 79)
                         [(asset "UVXY")]
                         [(if (> (rsi "XLP" {:window 10}) 75)
                            [(asset "UVXY")]
                            [(if (> (rsi "TQQQ" {:window 10}) 79)
                               [(asset "UVXY")]
                               [(if (> (rsi "XLY" {:window 10}) 80)
                                  [(asset "UVXY")]
                                  [(if (> (rsi "FAS" {:window 10}) 80)
                                     [(asset "UVXY")]
                                     [(if (> (rsi "SPY" {:window 10}) 80)
                                        [(asset "UVXY")]
                                        [(if (> (rsi "UVXY" {:window 21}) 65)
                                           [(if (> (rsi "SPY" {:window 21}) 30)
                                             [(asset "VIXM")]
                                             [(asset "SPXL")])]
                                           [(if (< (rsi "TQQQ" {:window 10}) 30)
                                              [(asset "TECL")]
                                              [(if (< (rsi "SOXL" {:window 10}) 30)
                                                 [(asset "SOXL")]
                                                 [(if (< (rsi "SPXL" {:window 10}) 30)
                                                    [(asset "SPXL")]
                                                    [(if (> (rsi "XLK" {:window 10}) (rsi "KMLM" {:window 10}))
                                                       [(filter (rsi {:window 10}) (select-bottom 1) [(asset "TECL") (asset "SVIX")])]
                                                       [(filter (stdev-return {:window 6}) (select-bottom 3) [(asset "TMV") (asset "TMF") (asset "SVXY") (asset "VIXM") (asset "FTLS") (asset "KMLM") (asset "UUP")])])])])])])])])])])])])])])])])])])
      (group "530/18"
       [(if (> (rsi "SPY" {:window 10}) 80)
          [(if (> (rsi "SPY" {:window 10}) 82.5)
            [(weight-equal [(asset "UVXY") (asset "UVXY") (asset "VIXM")])]
            [(weight-equal [(asset "UVXY") (asset "VXX") (asset "VIXM")])])]
          [(if (> (rsi "IOO" {:window 10}) 80)
             [(if (> (rsi "IOO" {:window 10}) 82.5)
               [(weight-equal [(asset "UVXY") (asset "UVXY") (asset "VIXM")])]
               [(weight-equal [(asset "UVXY") (asset "VXX") (asset "VIXM")])])]
             [(if (> (rsi "QQQ" {:window 10}) 79)
                [(if (> (rsi "QQQ" {:window 10}) 82.5)
                  [(weight-equal [(asset "UVXY") (asset "UVXY") (asset "VIXM")])]
                  [(weight-equal [(asset "UVXY") (asset "VXX") (asset "VIXM")])])]
                [(if (> (rsi "VTV" {:window 10}) 79)
                   [(if (> (rsi "VTV" {:window 10}) 85)
                     [(weight-equal [(asset "UVXY") (asset "VXX") (asset "VIXM")])]
                     [(weight-equal [(asset "VIXY") (asset "VXX") (asset "VIXM")])])]
                   [(if (> (rsi "XLP" {:window 10}) 77)
                      [(if (> (rsi "XLP" {:window 10}) 85)
                        [(weight-equal [(asset "UVXY") (asset "VXX") (asset "VIXM")])]
                        [(weight-equal [(asset "VIXY") (asset "VXX") (asset "VIXM")])])]
                      [(if (> (rsi "XLF" {:window 10}) 81)
                         [(if (> (rsi "XLF" {:window 10}) 85)
                           [(weight-equal [(asset "UVXY") (asset "VXX") (asset "VIXM")])]
                           [(weight-equal [(asset "VIXY") (asset "VXX") (asset "VIXM")])])]
                         [(if (> (rsi "RETL" {:window 10}) 82)
                            [(if (> (rsi "RETL" {:window 10}) 85)
                              [(weight-equal [(asset "VIXY") (asset "VXX") (asset "VIXM")])]
                              [(weight-equal [(asset "BTAL") (asset "BIL")])])]
                            [(if (> (rsi "SPY" {:window 70}) 63)
                               [(weight-equal
                                 [(if (> (rsi "AGG" {:window 15}) (rsi "QQQ" {:window 15}))
                                   [(weight-equal [(asset "TQQQ") (asset "SPXL") (asset "SOXL") (asset "FNGU") (asset "ERX")])]
                                   [(weight-specified 0.5 (asset "GLD") 0.25 (asset "SLV") 0.25 (asset "PDBC"))])
                                 (if (> (rsi "QQQ" {:window 90}) 60)
                                   [(asset "VIXY")]
                                   [(if (> (rsi "QQQ" {:window 14}) 80)
                                      [(asset "VIXY")]
                                      [(if (> (rsi "QQQ" {:window 5}) 90)
                                         [(asset "VIXY")]
                                         [(if (> (rsi "QQQ" {:window 3}) 95)
                                            [(asset "VIXY")]
                                            [(weight-specified 0.5 (asset "GLD") 0.25 (asset "SLV") 0.25 (asset "PDBC"))])])])])])]
                               [(if (> (rsi "VOX" {:window 10}) 79)
                                  [(weight-equal [(asset "VIXY") (asset "VXX") (asset "VIXM")])]
                                  [(if (> (rsi "XLP" {:window 10}) 75)
                                     [(weight-equal [(asset "VIXY") (asset "VXX") (asset "VIXM")])]
                                     [(if (< (cumulative-return "TQQQ" {:window 6}) -12)
                                        [(if (> (cumulative-return "TQQQ" {:window 1}) 5.5)
                                          [(weight-equal [(asset "UVXY") (asset "VXX") (asset "VIXM")])]
                                          [(if (< (rsi "TQQQ" {:window 10}) 31)
                                             [(asset "TECL")]
                                             [(if (< (rsi "SOXL" {:window 10}) 30)
                                                [(asset "SOXL")]
                                                [(if (< (rsi "SPXL" {:window 10}) 30)
                                                   [(asset "SPXL")]
                                                   [(if (> (rsi "XLK" {:window 10}) (rsi "KMLM" {:window 10}))
                                                      [(filter (rsi {:window 10}) (select-bottom 1)
                                                        [(asset "TECL") (asset "SVXY")
                                                        (group "Half FNGU, half the strongest trend"
                                                          [(weight-equal
                                                           [(asset "FNGU")
                                                            (filter (moving-average-return {:window 20}) (select-top 1) [(asset "FNGU") (asset "SPXL") (asset "XLE") (asset "XLK") (asset "AGG")])])])])]
                                                      [(filter (stdev-return {:window 6}) (select-bottom 3) [(asset "SVXY") (asset "VIXM") (asset "FTLS") (asset "KMLM") (asset "UUP")])])])])])])]
                                        [(if (> (current-price "SPY") (moving-average-price "SPY" {:window 200}))
                                           [(if (< (moving-average-price "SPY" {:window 3}) (moving-average-price "SPY" {:window 200}))
                                             [(filter (rsi {:window 10}) (select-top 2) [(asset "TQQQ") (asset "SPXL") (asset "TMF")])]
                                             [(if (> (current-price "SPY") (moving-average-price "SPY" {:window 200}))
                                                [(if (> (rsi "XLK" {:window 10}) (rsi "KMLM" {:window 10}))
                                                  [(filter (rsi {:window 10}) (select-bottom 1)
                                                    [(asset "TECL") (asset "SVXY")
                                                    (group "Half FNGU, half the strongest trend"
                                                      [(weight-equal
                                                       [(asset "FNGU")
                                                        (filter (moving-average-return {:window 20}) (select-top 1) [(asset "FNGU") (asset "SPXL") (asset "XLE") (asset "XLK") (asset "AGG")])])])])]
                                                  [(filter (stdev-return {:window 6}) (select-bottom 3) [(asset "SVXY") (asset "VIXM") (asset "FTLS") (asset "KMLM") (asset "UUP")])])]
                                                [(if (< (rsi "QQQ" {:window 10}) 31)
                                                   [(asset "TECL")]
                                                   [(if (< (rsi "SPY" {:window 10}) 30)
                                                      [(asset "UPRO")]
                                                      [(if (< (cumulative-return "QQQ" {:window 60}) -12)
                                                         [(asset "BIL")]
                                                         [(if (> (current-price "TQQQ") (moving-average-price "TQQQ" {:window 20}))
                                                            [(if (< (rsi "PSQ" {:window 10}) 32.5)
                                                              [(asset "PSQ")]
                                                              [(if (> (rsi "XLK" {:window 10}) (rsi "KMLM" {:window 10}))
                                                                 [(filter (rsi {:window 10}) (select-bottom 1)
                                                                   [(asset "TECL") (asset "SVXY")
                                                                   (group "Half FNGU, half the strongest trend"
                                                                     [(weight-equal
                                                                      [(asset "FNGU")
                                                                       (filter (moving-average-return {:window 20}) (select-top 1) [(asset "FNGU") (asset "SPXL") (asset "XLE") (asset "XLK") (asset "AGG")])])])])]
                                                                 [(filter (stdev-return {:window 6}) (select-bottom 3) [(asset "SVXY") (asset "VIXM") (asset "FTLS") (asset "KMLM") (asset "UUP")])])])]
                                                            [(if (> (rsi "IEF" {:window 10}) (rsi "PSQ" {:window 20}))
                                                               [(asset "PSQ")]
                                                               [(asset "QID")])])])])])])])]
                                           [(if (> (moving-average-price "SPY" {:window 3}) (moving-average-price "SPY" {:window 200}))
                                              [(filter (rsi {:window 10}) (select-top 2) [(asset "SQQQ") (asset "SPXU") (asset "TMF") (asset "TMV")])]
                                              [(if (> (current-price "SPY") (moving-average-price "SPY" {:window 200}))
                                                 [(if (> (rsi "XLK" {:window 10}) (rsi "KMLM" {:window 10}))
                                                   [(filter (rsi {:window 10}) (select-bottom 1)
                                                     [(asset "TECL") (asset "SVXY")
                                                     (group "Half FNGU, half the strongest trend"
                                                       [(weight-equal
                                                        [(asset "FNGU")
                                                         (filter (moving-average-return {:window 20}) (select-top 1) [(asset "FNGU") (asset "SPXL") (asset "XLE") (asset "XLK") (asset "AGG")])])])])]
                                                   [(filter (stdev-return {:window 6}) (select-bottom 3) [(asset "SVXY") (asset "VIXM") (asset "FTLS") (asset "KMLM") (asset "UUP")])])]
                                                 [(if (< (rsi "QQQ" {:window 10}) 31)
                                                    [(asset "TECL")]
                                                    [(if (< (rsi "SPY" {:window 10}) 30)
                                                       [(asset "UPRO")]
                                                       [(if (< (cumulative-return "QQQ" {:window 60}) -12)
                                                          [(asset "BIL")]
                                                          [(if (> (current-price "TQQQ") (moving-average-price "TQQQ" {:window 20}))
                                                             [(if (< (rsi "PSQ" {:window 10}) 32.5)
                                                               [(asset "PSQ")]
                                                               [(if (> (rsi "XLK" {:window 10}) (rsi "KMLM" {:window 10}))
                                                                  [(filter (rsi {:window 10}) (select-bottom 1)
                                                                    [(asset "TECL") (asset "SVXY")
                                                                    (group "Half FNGU, half the strongest trend"
                                                                      [(weight-equal
                                                                       [(asset "FNGU")
                                                                        (filter (moving-average-return {:window 20}) (select-top 1) [(asset "FNGU") (asset "SPXL") (asset "XLE") (asset "XLK") (asset "AGG")])])])])]
                                                                  [(filter (stdev-return {:window 6}) (select-bottom 3) [(asset "SVXY") (asset "VIXM") (asset "FTLS") (asset "KMLM") (asset "UUP")])])])]
                                                             [(if (> (rsi "IEF" {:window 10}) (rsi "PSQ" {:window 20}))
                                                                [(asset "PSQ")]
                                                                [(asset "QID")])])])])])])])])])])])])])])])])])])])])
      (group "410/38"
       [(if (> (rsi "QQQE" {:window 10}) 79)
          [(asset "UVXY")]
          [(if (> (rsi "VTV" {:window 10}) 79)
             [(asset "UVXY")]
             [(if (> (rsi "VOX" {:window 10}) 79)
                [(asset "UVXY")]
                [(if (> (rsi "TECL" {:window 10}) 79)
                   [(asset "UVXY")]
                   [(if (> (rsi "VOOG" {:window 10}) 79)
                      [(asset "UVXY")]
                      [(if (> (rsi "VOOV" {:window 10}) 79)
                         [(asset "UVXY")]
                         [(if (> (rsi "XLP" {:window 10}) 75)
                            [(asset "UVXY")]
                            [(if (> (rsi "TQQQ" {:window 10}) 79)
                               [(asset "UVXY")]
                               [(if (> (rsi "XLY" {:window 10}) 80)
                                  [(asset "UVXY")]
                                  [(if (> (rsi "FAS" {:window 10}) 80)
                                     [(asset "UVXY")]
                                     [(if (> (rsi "SPY" {:window 10}) 80)
                                        [(asset "UVXY")]
                                        [(if (> (rsi "UVXY" {:window 21}) 65)
                                           [(if (> (rsi "SPY" {:window 21}) 30)
                                             [(asset "VIXM")]
                                             [(asset "SPXL")])]
                                           [(if (< (rsi "TQQQ" {:window 10}) 30)
                                              [(asset "TECL")]
                                              [(if (< (rsi "SOXL" {:window 10}) 30)
                                                 [(asset "SOXL")]
                                                 [(if (< (rsi "SPXL" {:window 10}) 30)
                                                    [(asset "SPXL")]
                                                    [(if (> (rsi "XLK" {:window 10}) (rsi "KMLM" {:window 10}))
                                                       [(filter (rsi {:window 10}) (select-bottom 1) [(asset "FNGU")])]
                                                       [(filter (stdev-return {:window 6}) (select-bottom 1) [(asset "UUP") (asset "FTLS") (asset "KMLM")])])])])])])])])])])])])])])])])])])
      (group "2900/8 Nova"
       [(if (> (rsi "QQQE" {:window 10}) 79)
          [(asset "UVXY")]
          [(if (> (rsi "VTV" {:window 10}) 79)
             [(asset "UVXY")]
             [(if (> (rsi "VOX" {:window 10}) 79)
                [(asset "UVXY")]
                [(if (> (rsi "TECL" {:window 10}) 79)
                   [(asset "UVXY")]
                   [(if (> (rsi "VOOG" {:window 10}) 79)
                      [(asset "UVXY")]
                      [(if (> (rsi "VOOV" {:window 10}) 79)
                         [(asset "UVXY")]
                         [(if (> (rsi "XLP" {:window 10}) 75)
                            [(asset "UVXY")]
                            [(if (> (rsi "TQQQ" {:window 10}) 79)
                               [(asset "UVXY")]
                               [(if (> (rsi "XLY" {:window 10}) 80)
                                  [(asset "UVXY")]
                                  [(if (> (rsi "FAS" {:window 10}) 80)
                                     [(asset "UVXY")]
                                     [(if (> (rsi "SPY" {:window 10}) 80)
                                        [(asset "UVXY")]
                                        [(if (> (rsi "UVIX" {:window 21}) 65)
                                           [(if (> (rsi "SPY" {:window 21}) 30)
                                             [(asset "VIXM")]
                                             [(asset "SPXL")])]
                                           [(if (< (rsi "TQQQ" {:window 10}) 30)
                                              [(asset "TECL")]
                                              [(if (< (rsi "SOXL" {:window 10}) 30)
                                                 [(asset "SOXL")]
                                                 [(if (< (rsi "SPXL" {:window 10}) 30)
                                                    [(asset "SPXL")]
                                                    [(if (> (rsi "XLK" {:window 10}) (rsi "KMLM" {:window 10}))
                                                       [(filter (rsi {:window 11}) (select-top 1) [(asset "FNGO") (asset "TSLA") (asset "MSFT") (asset "AAPL") (asset "NVDA") (asset "GOOGL") (asset "AMZN")])]
                                                       [(filter (stdev-return {:window 6}) (select-bottom 1) [(asset "UUP") (asset "FTLS") (asset "KMLM")])])])])])])])])])])])])])])])])])])
      (group "830/21"
       [(if (> (rsi "QQQE" {:window 10}) 79)
          [(asset "UVXY")]
          [(if (> (rsi "VTV" {:window 10}) 79)
             [(asset "UVXY")]
             [(if (> (rsi "VOX" {:window 10}) 79)
                [(asset "UVXY")]
                [(if (> (rsi "TECL" {:window 10}) 79)
                   [(asset "UVXY")]
                   [(if (> (rsi "VOOG" {:window 10}) 79)
                      [(asset "UVXY")]
                      [(if (> (rsi "VOOV" {:window 10}) 79)
                         [(asset "UVXY")]
                         [(if (> (rsi "XLP" {:window 10}) 75)
                            [(asset "UVXY")]
                            [(if (> (rsi "TQQQ" {:window 10}) 79)
                               [(asset "UVXY")]
                               [(if (> (rsi "XLY" {:window 10}) 80)
                                  [(asset "UVXY")]
                                  [(if (> (rsi "FAS" {:window 10}) 80)
                                     [(asset "UVXY")]
                                     [(if (> (rsi "SPY" {:window 10}) 80)
                                        [(asset "UVXY")]
                                        [(if (> (rsi "UVXY" {:window 21}) 65)
                                           [(if (> (rsi "SPY" {:window 21}) 30)
                                             [(asset "VIXM")]
                                             [(asset "SPXL")])]
                                           [(if (< (rsi "TQQQ" {:window 10}) 30)
                                              [(asset "TECL")]
                                              [(if (< (rsi "SOXL" {:window 10}) 30)
                                                 [(asset "SOXL")]
                                                 [(if (< (rsi "SPXL" {:window 10}) 30)
                                                    [(asset "SPXL")]
                                                    [(if (> (rsi "XLK" {:window 10}) (rsi "KMLM" {:window 10}))
                                                       [(filter (rsi {:window 10}) (select-top 1) [(asset "TECL") (asset "SOXL") (asset "SVIX")])]
                                                       [(if (> (moving-average-return "BND" {:window 20}) 0)
                                                          [(filter (rsi {:window 10}) (select-bottom 1) [(asset "KMLM") (asset "SPLV")])]
                                                          [(filter (rsi {:window 10}) (select-top 1) [(asset "TLT") (asset "LABD") (asset "TZA")])])])])])])])])])])])])])])])])])])])])]))
